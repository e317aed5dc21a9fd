// Package notify sends the messages about ends of tasks and task groups that their smn_config asked for (OMS v2, 3.3
// and 6.9), to where the operator has mapped their topics.
//
// The store holds the messages, see [Store]. A [Notifier] claims those that are due, sends each in the background
// within a time limit, tries again what may succeed later, and settles them. Nothing waits for it: an end is stored
// before its message is looked at.
//
// A target is a URL, see [ParseTarget]. Targets hold secrets, so they are in no error, log or answer: failures are told in
// words of this package, with the topic's name and a code of OMS v2.
package notify
