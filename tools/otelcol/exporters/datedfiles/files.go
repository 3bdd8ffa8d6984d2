package datedfiles

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"sync"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"audit-operator.dev/tools/otelcol/exporters/document"
)

const (
	attributeNamespace  = "namespace"
	attributeUnseen     = "unseen"
	attributeQuarantine = "quarantine"

	// Neither can be the name of a namespace.
	folderOfNone  = "_cluster"
	folderOfOther = "_other"
	// Gets what is refused elsewhere. Nothing is deleted from it by its age.
	folderOfRefused = "_refused"

	refusedFor     = 15 * time.Second
	forgottenAfter = 48 * time.Hour
	// Longer than the operator works at one file.
	lockedFor = 2 * time.Minute
	lockTries = 50
	lockPause = 20 * time.Millisecond

	atATime     = 32
	suffix      = ".jsonl"
	folderRight = 0o750
	fileRight   = 0o640
)

// A namespace is a DNS label, so that it can be a folder's name and no path; whatever else says to be one is kept apart.
var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

var errLocked = errors.New("somebody else holds the lock of the file")

// What the whole disk says, and not one folder: that is waited for, as nothing else would be written either.
var ofDisk = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.EMFILE, syscall.ENFILE}

// files writes to one directory, one batch after the other.
type files struct {
	directory string
	mutex     sync.Mutex
	logger    *zap.Logger
	refused   metric.Int64Counter
	itself    metric.MeasurementOption
	// failing says of files that could not be written since when.
	failing map[string]time.Time
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
	lines := sorted(logs)
	written, failed := writeAll(root, lines)
	maps.DeleteFunc(f.failing, func(name string, since time.Time) bool {
		return written[name] || time.Since(since) > forgottenAfter
	})
	given := f.toRefused(root, lines, failed)
	var errs error
	for name, err := range failed {
		if given[name] {
			written[name] = true
		} else {
			errs = errors.Join(errs, err)
		}
	}
	if errs != nil {
		return consumererror.NewLogs(errs, without(logs, written))
	}
	return nil
}

// toRefused writes elsewhere what its own file has refused for a while, and says of which files that was. Left in the
// queue, it would be tried again and again by every consumer that the queue has, and no other namespace written.
func (f *files) toRefused(root *os.Root, lines map[string][]byte, failed map[string]error) map[string]bool {
	given := map[string]bool{}
	for name, err := range failed {
		if !f.isRefused(name, err) {
			continue
		}
		elsewhere := folderOfRefused + "/" + path.Base(name)
		if second := write(root, elsewhere, lines[name]); second != nil {
			failed[name] = errors.Join(err, second)
			continue
		}
		given[name] = true
		count := bytes.Count(lines[name], []byte{'\n'})
		f.refused.Add(context.Background(), int64(count), f.itself)
		f.logger.Error("Records were written to another file than their own, which cannot be written.",
			zap.String("file", name), zap.String("written", elsewhere), zap.Int("records", count), zap.Error(err))
	}
	return given
}

// isRefused says whether a file has failed for so long that this is not waited for any more.
func (f *files) isRefused(name string, err error) bool {
	for _, each := range ofDisk {
		if errors.Is(err, each) {
			return false
		}
	}
	since, known := f.failing[name]
	if !known {
		since = time.Now()
		f.failing[name] = since
	}
	patience := refusedFor
	if errors.Is(err, errLocked) {
		patience = lockedFor
	}
	return time.Since(since) >= patience
}

// writeAll says which files have their lines. Several at a time: what takes long is to wait for the disk, and a disk
// makes one wait of many.
func writeAll(root *os.Root, lines map[string][]byte) (map[string]bool, map[string]error) {
	var group sync.WaitGroup
	var mutex sync.Mutex
	written, failed := map[string]bool{}, map[string]error{}
	places := make(chan struct{}, atATime)
	for name, each := range lines {
		places <- struct{}{}
		group.Go(func() {
			err := write(root, name, each)
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil {
				failed[name] = err
			} else {
				written[name] = true
			}
			<-places
		})
	}
	group.Wait()
	return written, failed
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
// without the records that are too old: what was added to it then would be gone. It does not wait for long, since whoever
// may read a file can lock it.
func openLocked(root *os.Root, name string) (*os.File, error) {
	for {
		file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, fileRight)
		if err != nil {
			return nil, err
		}
		if err = lock(file); err != nil {
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

func lock(file *os.File) error {
	for range lockTries {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		time.Sleep(lockPause)
	}
	return errLocked
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
