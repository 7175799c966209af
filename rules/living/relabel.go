package living

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v3"
)

// Sent gives alerts as Prometheus sends them: with its external labels where they
// have none of that name, and changed by its alert_relabel_configs, a text of YAML
// that may be empty. What relabelling drops is told, and left out.
func Sent(alerts []map[string]string, external map[string]string, relabels string) ([]map[string]string, []Finding, error) {
	configs, err := relabelling(relabels)
	if err != nil {
		return nil, nil, err
	}
	var sent []map[string]string
	dropped := &merged{}
	for _, alert := range alerts {
		all := maps.Clone(external)
		if all == nil {
			all = map[string]string{}
		}
		maps.Copy(all, alert)
		changed := labels.NewBuilder(labels.FromMap(all))
		if !relabel.ProcessBuilder(changed, configs...) {
			dropped.say(alert["alertname"], Finding{true, "", "alert_relabel_configs of Prometheus drop it: nobody is sent it"})
			continue
		}
		sent = append(sent, changed.Labels().Map())
	}
	return sent, dropped.findings(), nil
}

// relabelling reads alert_relabel_configs. An error quotes nothing of them.
func relabelling(text string) ([]*relabel.Config, error) {
	var configs []*relabel.Config
	if err := yaml.Unmarshal([]byte(text), &configs); err != nil || slices.Contains(configs, nil) {
		return nil, errors.New("reading alert_relabel_configs of Prometheus: they are no list of relabellings")
	}
	for i, c := range configs {
		if err := c.Validate(model.UTF8Validation); err != nil {
			return nil, fmt.Errorf("reading alert_relabel_configs of Prometheus: entry %d: %w", i, err)
		}
	}
	return configs, nil
}
