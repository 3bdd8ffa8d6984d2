package s3folders

import (
	"errors"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/awss3exporter"
)

// Config is what one exporter is told: all that upstream's knows, and where folders are looked up.
type Config struct {
	S3      awss3exporter.Config `mapstructure:",squash"`
	Folders Folders              `mapstructure:"folders"`
}

// Folders says which table names the folder of a record. Without a table, every record goes to the same place.
type Folders struct {
	// Table is a file of YAML. An entry `namespace|NAME` may name a set under `folders`, and an entry `folders|SET` says
	// by sink in which folder records of that set lie.
	Table string `mapstructure:"table"`
	// Sink under whose name to look there.
	Sink string `mapstructure:"sink"`
	// Patience is for how long a folder that the store refuses is waited for; then records of it are written beside all
	// folders.
	Patience time.Duration `mapstructure:"patience"`
}

// Validate says what cannot be meant.
func (c *Config) Validate() error {
	if (c.Folders.Table == "") != (c.Folders.Sink == "") {
		return errors.New("folders must name both a table and a sink, or neither")
	}
	return c.S3.Validate()
}
