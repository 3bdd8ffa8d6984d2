package s3folders

import (
	"io/fs"
	"os"
	"regexp"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"
	"go.yaml.in/yaml/v3"
)

const (
	lookEvery = 5 * time.Second
	// ofNamespace and ofSet begin the keys of entries; field names a set in an entry of a namespace.
	ofNamespace, ofSet, field = "namespace|", "folders|", "folders"
)

var folderName = regexp.MustCompile(`^sink=[a-z0-9][a-z0-9.-]*/cluster=[a-z0-9][a-z0-9.-]*/class=[a-z0-9-]+$`)

// table knows the folder of each namespace, and reads its file anew when that has changed.
type table struct {
	config  Folders
	logger  *zap.Logger
	mutex   sync.Mutex
	looked  time.Time
	known   fs.FileInfo
	folders map[string]string
}

// of reads what the table says now. While its file cannot be read, it says what it said before, and at first nothing:
// what has no folder lies where nothing is deleted.
func (t *table) of() map[string]string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.config.Table == "" || time.Since(t.looked) < lookEvery {
		return t.folders
	}
	t.looked = time.Now()
	found, err := os.Stat(t.config.Table)
	if err == nil && t.known != nil && os.SameFile(found, t.known) && found.ModTime().Equal(t.known.ModTime()) &&
		found.Size() == t.known.Size() {
		return t.folders
	}
	if err == nil {
		var folders map[string]string
		if folders, err = read(t.config); err == nil {
			t.known, t.folders = found, folders
		}
	}
	if err != nil {
		t.logger.Warn("The table of folders cannot be read.", zap.String("file", t.config.Table))
	}
	return t.folders
}

func read(config Folders) (map[string]string, error) {
	text, err := os.ReadFile(config.Table)
	if err != nil {
		return nil, err
	}
	var entries map[string]map[string]any
	if err := yaml.Unmarshal(text, &entries); err != nil {
		return nil, err
	}
	folders := make(map[string]string)
	for key, entry := range entries {
		if len(key) < len(ofNamespace) || key[:len(ofNamespace)] != ofNamespace {
			continue
		}
		set, _ := entry[field].(string)
		folder, _ := entries[ofSet+set][config.Sink].(string)
		if folderName.MatchString(folder) {
			folders[key[len(ofNamespace):]] = folder
		}
	}
	return folders, nil
}

// folderOf is empty for a record of a namespace that nobody had seen, for a line that is no event and may be of any, and
// for a record of a namespace of which nothing is asked.
func folderOf(record plog.LogRecord, folders map[string]string) string {
	if _, unseen := record.Attributes().Get("unseen"); unseen {
		return ""
	}
	namespace, there := record.Attributes().Get("namespace")
	if !there {
		if _, quarantined := record.Attributes().Get("quarantine"); quarantined {
			return ""
		}
		return folders[""]
	}
	return folders[namespace.AsString()]
}
