package testcloud

import "strings"

// maxLevels is how many levels a name in a parallel file system has at most.
const maxLevels = 45

// checkFile refuses what a parallel file system cannot hold under the key of the call.
func (c *call) checkFile(b *Bucket, size int64) error {
	if !c.cloud.profile.FileSystem {
		return nil
	}
	name, directory := strings.CutSuffix(c.key, "/")
	levels := strings.Split(name, "/")
	if len(levels) > maxLevels || directory && size > 0 {
		return errInvalidFileName
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	path := ""
	for i, level := range levels {
		if level == "" || level == "." || level == ".." {
			return errInvalidFileName
		}
		path += level
		if _, file := b.find(path); file && (i < len(levels)-1 || directory) {
			return errFileConflict
		}
		path += "/"
	}
	if directory {
		return nil
	}
	if e, ok := b.cursorBehind([]byte(name + "/")).next(); ok && strings.HasPrefix(b.object(e).Key, name+"/") {
		return errFileConflict
	}
	if _, ok := b.find(name + "/"); ok {
		return errFileConflict
	}
	return nil
}
