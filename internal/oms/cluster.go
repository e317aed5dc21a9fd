package oms

// WorkRequest asks the holders of a task's ranges for some of them.
type WorkRequest struct {
	TaskID int64
	Owner  string // who asks
	Whole  bool   // all of them: the source has no order, so that one process must do the rest
}

// RunProgress is what the run of a task in one process knows beyond what is stored of its ranges.
type RunProgress struct {
	TaskID, Generation int64
	Owner              string
	Found, FoundBytes  int64 // listed, and in no stored checkpoint
	Partial            int64 // bytes of unfinished large objects that the destination holds
	Speed              int64 // bytes per second
	QueryOver          bool  // none of its ranges is being listed
}

// Wake says what may have changed in the state store.
type Wake struct {
	Topic WakeTopic
	ID    string // of the one thing that changed; "" is any
}

// WakeTopic is a kind of things that may change.
type WakeTopic string

// The topics.
const (
	WakeTasks  WakeTopic = "tasks"
	WakeGroups WakeTopic = "groups"
	WakeSyncs  WakeTopic = "syncs"
	WakeEvents WakeTopic = "events" // of the synchronization task with the ID
)
