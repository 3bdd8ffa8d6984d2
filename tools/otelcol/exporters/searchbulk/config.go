package searchbulk

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

var indexName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*$`)

// Config is what one exporter is told.
type Config struct {
	ClientConfig confighttp.ClientConfig                                  `mapstructure:",squash"`
	QueueConfig  configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	RetryConfig  configretry.BackOffConfig                                `mapstructure:"retry_on_failure"`

	// Index that documents go to: one, an alias, or a data stream.
	Index string `mapstructure:"index"`
	// NewIndex is what it is made with where there is none, as JSON; empty leaves that to the store.
	NewIndex string `mapstructure:"new_index"`
}

// Validate says what cannot be meant.
func (c *Config) Validate() error {
	if c.ClientConfig.Endpoint == "" {
		return errors.New("endpoint must be set")
	}
	if _, err := url.Parse(c.ClientConfig.Endpoint); err != nil {
		return errors.New("endpoint must be an address")
	}
	if !indexName.MatchString(c.Index) {
		return fmt.Errorf("index must match %s", indexName)
	}
	return nil
}
