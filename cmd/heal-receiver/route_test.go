package main

import (
	"testing"
	"time"
)

func TestGroupWait_IsThatOfTheRouteToUs(t *testing.T) {
	const receivers = `
receivers:
- name: people
- name: heal
  webhook_configs: [{url: 'http://heal:9099/api/v1/alertmanager'}]
- name: heal-masked
  webhook_configs: [{url: <secret>}]
- name: Heal-file
  webhook_configs: [{url_file: /etc/heal.url}]
`
	for name, c := range map[string]struct {
		route string
		want  time.Duration
	}{
		"its own":                {`route: {receiver: people, routes: [{receiver: heal, group_wait: 0s}]}`, 0},
		"from above":             {`route: {receiver: people, group_wait: 7s, routes: [{receiver: heal}]}`, 7 * time.Second},
		"Alertmanager's default": {`route: {receiver: heal}`, 30 * time.Second},
		"the longest of several": {`route: {receiver: people, routes: [{receiver: heal, group_wait: 1s}, {receiver: heal, group_wait: 5s}]}`, 5 * time.Second},
		"a receiver from above":  {`route: {receiver: heal, group_wait: 2s, routes: [{matchers: ['a="b"'], group_wait: 9s}]}`, 9 * time.Second},
		"a URL in a file":        {`route: {receiver: people, routes: [{receiver: Heal-file, group_wait: 4s}]}`, 4 * time.Second},
		"a masked URL":           {`route: {receiver: people, routes: [{receiver: heal-masked, group_wait: 3s}]}`, 3 * time.Second},
	} {
		if got, err := groupWaitOf(c.route + receivers); err != nil || got != c.want {
			t.Errorf("%s: got %s, error %v, want %s", name, got, err, c.want)
		}
	}
	for name, text := range map[string]string{"no route to us": `route: {receiver: people}` + receivers, "no YAML": "\t"} {
		if _, err := groupWaitOf(text); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func FuzzGroupWait_NeverBreaks(f *testing.F) {
	f.Add("route: {receiver: heal}\nreceivers: [{name: heal, webhook_configs: [{url: 'http://x/api/v1/alertmanager'}]}]")
	f.Add("route: &a {routes: [*a]}")
	f.Fuzz(func(t *testing.T, text string) {
		if wait, err := groupWaitOf(text); err != nil && wait != 0 {
			t.Errorf("got %s with the error %v", wait, err)
		}
	})
}
