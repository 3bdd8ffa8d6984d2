package datedfiles

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"regexp"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"

	"audit-operator.dev/tools/otelcol/exporters/document"
)

const (
	attributeNamespace  = "namespace"
	attributeUnseen     = "unseen"
	attributeQuarantine = "quarantine"

	// Neither can be the name of a namespace.
	folderOfNone  = "_cluster"
	folderOfOther = "_other"

	atATime     = 32
	suffix      = ".jsonl"
	folderRight = 0o750
	fileRight   = 0o640
)

// A namespace is a DNS label, so that it can be a folder's name and no path; whatever else says to be one is kept apart.
var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// files writes to one directory, one batch after the other.
type files struct {
	directory string
	mutex     sync.Mutex
}

// push writes records; an error says which of them are to be written again.
func (f *files) push(_ context.Context, logs plog.Logs) error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if err := os.MkdirAll(f.directory, folderRight); err != nil {
		return err
	}
	// Nothing that lies in it, such as a link, leads out of it.
	root, err := os.OpenRoot(f.directory)
	if err != nil {
		return err
	}
	defer root.Close()
	written, err := writeAll(root, sorted(logs))
	if err != nil {
		return consumererror.NewLogs(err, without(logs, written))
	}
	return nil
}

// writeAll says which files have their lines. Several at a time: what takes long is to wait for the disk, and a disk
// makes one wait of many.
func writeAll(root *os.Root, lines map[string][]byte) (map[string]bool, error) {
	var group sync.WaitGroup
	var mutex sync.Mutex
	var errs error
	written := map[string]bool{}
	places := make(chan struct{}, atATime)
	for name, each := range lines {
		places <- struct{}{}
		group.Go(func() {
			err := write(root, name, each)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				errs = errors.Join(errs, err)
			} else {
				written[name] = true
			}
			<-places
		})
	}
	group.Wait()
	return written, errs
}

// write has the lines on disk when it returns, as a whole or not at all, as far as that is in its hands.
func write(root *os.Root, name string, lines []byte) error {
	if err := root.MkdirAll(path.Dir(name), folderRight); err != nil {
		return err
	}
	file, err := openLocked(root, name)
	if err != nil {
		return err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	half, err := endsWithinLine(file, size)
	if err != nil {
		return err
	}
	if half {
		lines = append([]byte{'\n'}, lines...)
	}
	if _, err = file.Write(lines); err == nil {
		err = file.Sync()
	}
	if err != nil {
		return errors.Join(err, file.Truncate(size))
	}
	if size > 0 {
		return nil
	}
	// A file that is new is there after a crash only if its folders are.
	return errors.Join(synced(root, path.Dir(name)), synced(root, "."))
}

// openLocked waits for the operator, which holds the lock of a file while it deletes the file, or replaces it by one
// without the records that are too old: what was added to it then would be gone.
func openLocked(root *os.Root, name string) (*os.File, error) {
	for {
		file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, fileRight)
		if err != nil {
			return nil, err
		}
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		own, first := file.Stat()
		there, second := root.Lstat(name)
		if first == nil && second == nil && os.SameFile(own, there) {
			return file, nil
		}
		if errors.Is(second, os.ErrNotExist) {
			second = nil
		}
		if err = errors.Join(first, second, file.Close()); err != nil {
			return nil, err
		}
	}
}

// endsWithinLine says whether a kill or a crash has left half a line, to which nothing may be added.
func endsWithinLine(file *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	last := make([]byte, 1)
	_, err := file.ReadAt(last, size-1)
	return last[0] != '\n', err
}

func synced(root *os.Root, name string) error {
	folder, err := root.Open(name)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// sorted has the lines of each file, in the order of the records.
func sorted(logs plog.Logs) map[string][]byte {
	result := map[string][]byte{}
	for _, resource := range logs.ResourceLogs().All() {
		for _, scoped := range resource.ScopeLogs().All() {
			for _, record := range scoped.LogRecords().All() {
				name := nameOf(record)
				result[name] = document.Append(result[name], record)
			}
		}
	}
	return result
}

func without(logs plog.Logs, written map[string]bool) plog.Logs {
	rest := plog.NewLogs()
	logs.CopyTo(rest)
	for _, resource := range rest.ResourceLogs().All() {
		for _, scoped := range resource.ScopeLogs().All() {
			scoped.LogRecords().RemoveIf(func(record plog.LogRecord) bool { return written[nameOf(record)] })
		}
	}
	return rest
}

// nameOf is the file of a record: <namespace>/<day in UTC>.jsonl. What may be of any namespace is apart from what is of
// none: whoever demands that the latter is deleted must not delete the former.
func nameOf(record plog.LogRecord) string {
	folder := folderOfNone
	if value, ok := record.Attributes().Get(attributeNamespace); ok && value.AsString() != "" {
		folder = value.AsString()
		if !label.MatchString(folder) {
			folder = folderOfOther
		}
	} else if isOfAny(record) {
		folder = folderOfOther
	}
	return folder + "/" + document.Moment(record).AsTime().Format(time.DateOnly) + suffix
}

// isOfAny says of a record without a namespace whether that is one that nobody had seen, or it is no event.
func isOfAny(record plog.LogRecord) bool {
	_, unseen := record.Attributes().Get(attributeUnseen)
	_, quarantined := record.Attributes().Get(attributeQuarantine)
	return unseen || quarantined
}
