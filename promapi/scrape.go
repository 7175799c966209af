package promapi

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// targets is the answer to the question for targets.
type targets struct {
	Active []active `json:"activeTargets"`
}

type active struct {
	Labels   map[string]string `json:"labels"`
	Pool     string            `json:"scrapePool"`
	URL      string            `json:"scrapeUrl"`
	Error    string            `json:"lastError"`
	Health   string            `json:"health"`
	Interval string            `json:"scrapeInterval"`
	Timeout  string            `json:"scrapeTimeout"`
}

// parseTargets reads the targets that are scraped.
func parseTargets(body []byte) ([]Target, error) {
	all, err := open[targets](body)
	if err != nil {
		return nil, err
	}
	list := make([]Target, 0, len(all.Active))
	for _, a := range all.Active {
		t := Target{Job: a.Pool, URL: a.URL, Labels: a.Labels, Health: a.Health, Error: cut(a.Error)}
		if t.Interval, err = duration(a.Interval); err == nil {
			t.Timeout, err = duration(a.Timeout)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the answer: target %s: %w", cut(a.URL), err)
		}
		list = append(list, t)
	}
	return list, nil
}

// duration reads what Prometheus writes, such as 1m30s; an older server writes
// none.
func duration(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := model.ParseDuration(text)
	return time.Duration(d), err
}

// loaded is the answer to the question for the configuration: a text of YAML.
type loaded struct {
	YAML string `json:"yaml"`
}

// scrapeConfigs is what is read of that text. All other keys are let pass.
type scrapeConfigs struct {
	Scrapes []struct {
		Job         string `yaml:"job_name"`
		HonorLabels bool   `yaml:"honor_labels"`
	} `yaml:"scrape_configs"`
}
