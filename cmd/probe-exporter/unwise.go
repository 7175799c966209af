package main

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
)

// unwise tells what works and had better be otherwise. It looks at the files that
// the settings name, on the machine that it runs on.
func (s *settings) unwise(ping func() error) config.Mistakes {
	var all config.Mistakes
	warn := func(path, format string, args ...any) {
		all = append(all, s.places.Mistake(path, s.owned(path, fmt.Sprintf(format, args...))))
	}
	if len(s.Modules) == 0 && (len(s.Signals) == 0 || len(s.Probes) > 0) {
		warn("modules", "there is none: nothing can be probed, and every /probe is answered with status 400")
	}
	for _, m := range s.missing {
		warn(m.path, "%s", m.text)
	}
	s.CheckFiles(s.modules(nil), func(path, text string) { warn(path, "%s", text) })
	s.warnOfTimeouts(warn)
	s.warnOfPings(ping, warn)
	for _, name := range slices.Sorted(maps.Keys(s.Modules)) {
		m := s.Modules[name]
		m.Unwise(func(path, text string) { warn("modules."+name+"."+path, "%s", text) })
		s.warnOfSecrets("modules."+name, m, warn)
	}
	for i, p := range s.Probes {
		if p.HTTPSD != nil {
			s.warnOfSecrets(fmt.Sprintf("probes[%d].http_sd", i), p.HTTPSD, warn)
		}
	}
	for i, q := range s.Signals {
		q.Unwise(func(path, text string) { warn(fmt.Sprintf("signals[%d].%s", i, path), "%s", text) })
	}
	s.warnOfFlat(warn)
	s.warnOfSecrets("prometheus", s.Prometheus, warn)
	if c := s.Alertmanager.HTTPConfig; c != nil { // what else names a file there is read by Alertmanager
		s.warnOfSecrets("alertmanager.http_config", c, warn)
	}
	return all
}

// warning takes one thing that is unwise.
type warning func(path, format string, args ...any)

// warnOfTimeouts looks at probes that may take as long as their interval, and at
// a scrape that may take half of its own.
func (s *settings) warnOfTimeouts(warn warning) {
	for i, p := range s.Probes {
		path, timeout, interval := fmt.Sprintf("probes[%d].module", i), s.Modules[p.Module].Timeout, time.Duration(p.Interval)
		switch {
		case timeout == 0:
			warn(path, "module %q has no timeout: a target that does not answer is a failure only after the whole interval of %s", p.Module, p.Interval)
		case timeout >= interval && p.Overlap <= 1:
			warn(path, "the timeout of %s of module %q is as long as the interval: a target that does not answer is probed with no pause", timeout, p.Module)
		}
	}
	scrape := s.Prometheus.Scrape
	if wait := scrape.Wait(); len(s.Services) > 0 && wait >= time.Duration(scrape.Interval)/2 {
		text := fmt.Sprintf(" is half of the scrape interval of %s or more: it counts into every bound; a scrape takes milliseconds", scrape.Interval)
		if scrape.Timeout == 0 {
			text = ", the default," + text + ": write prometheus: {scrape: {timeout: 1s}} here, and the same for the job in Prometheus"
		}
		warn("prometheus.scrape.timeout", "%s%s", model.Duration(wait), text)
	}
}

// warnOfFlat looks at queries that page and whose deviation has no floor: a ratio of
// failures stands at 0 for hours, and then one failure would be a fault.
func (s *settings) warnOfFlat(warn warning) {
	c := s.Complete(s.observer)
	for i, v := range c.Services {
		for _, q := range c.Signals {
			g, known := v.Signals[q.Name]
			if q.Service == v.Name && known && g.Mode == "page" && c.BaselineOf(v, q.Name).Floor == 0 {
				warn(fmt.Sprintf("services[%d].signals.%s", i, q.Name),
					"it pages, and its baseline %q has no floor: where the value stands still, as a ratio of failures does at 0, the least change is beyond the threshold; want baselines.%s.floor, the least standard deviation to reckon with, in the unit of the value", g.Baseline, g.Baseline)
			}
		}
	}
}

// warnOfPings asks once for all modules whether a ping can be sent from here.
func (s *settings) warnOfPings(ping func() error, warn warning) {
	if module, err := s.cannotPing(ping); err != nil {
		warn("modules."+module+".prober", "no ping can be sent from here: %v", err)
	}
}

// cannotPing gives the first module that pings, and why it cannot.
func (s *settings) cannotPing(ping func() error) (module string, err error) {
	for _, name := range slices.Sorted(maps.Keys(s.Modules)) {
		if s.Modules[name].Prober == "icmp" {
			return name, ping()
		}
	}
	return "", nil
}

// warnOfSecrets looks at what a section says of secrets, files and certificates.
// It reads the section as it is shown: there every secret that stands in the file
// itself is masked, and much that may be one and need not.
func (s *settings) warnOfSecrets(path string, section any, warn warning) {
	doc, err := shown(section)
	if err != nil || len(doc.Content) == 0 {
		return // what cannot be shown has been refused
	}
	open := readable(s.places.File(path))
	leaves(doc.Content[0], path, "", "", func(path, above, key, value string) {
		switch {
		case value == masked && open && (!slices.Contains(freeNames, above) || secretive(key)):
			warn(path, "this secret stands in a file that everybody may read: chmod o-r, or name a file with the secret instead")
		case key == "insecure_skip_verify" && value == "true":
			warn(path, "no certificate is checked: an expired one, and one of somebody else, is no failure")
		case strings.HasSuffix(key, "file") || strings.HasSuffix(key, "files"):
			warnOfFile(path, key, value, warn)
		}
	})
}

// freeNames are the keys below which names are free, and every value is masked
// where it is shown.
var freeNames = []string{"headers", "metadata", "endpoint_params"}

// secretive tells whether a name sounds like that of a secret. That of a type,
// such as grant_type, does not.
func secretive(name string) bool {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	if len(parts) == 0 || parts[len(parts)-1] == "type" {
		return false
	}
	return slices.ContainsFunc(parts, func(part string) bool {
		return slices.Contains([]string{"auth", "pass", "pwd", "pin", "jwt", "session", "sid"}, part) ||
			slices.ContainsFunc([]string{"authorization", "cookie", "token", "key", "secret", "passw", "passphrase", "credential", "assertion", "signature"}, func(word string) bool { return strings.Contains(part, word) })
	})
}

// leaves visits every plain value below a node with its path, its key and the key
// above that. Below a key that names files, it is the key of all.
func leaves(n *yaml.Node, path, above, key string, visit func(path, above, key, value string)) {
	switch n.Kind { //nolint:exhaustive // what is marshalled has no aliases
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			below := n.Content[i].Value
			under := path + "." + below
			if strings.HasSuffix(key, "files") {
				below = key
			}
			leaves(n.Content[i+1], under, key, below, visit)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			leaves(item, fmt.Sprintf("%s[%d]", path, i), above, key, visit)
		}
	case yaml.ScalarNode:
		visit(path, above, key, n.Value)
	}
}

// warnOfFile looks at one file that a section names.
func warnOfFile(path, key, name string, warn warning) {
	if name == "" {
		return
	}
	if _, err := os.Stat(name); err != nil {
		warn(path, "%v: probes that need it fail", err)
		return
	}
	secret := slices.ContainsFunc([]string{"password", "credentials", "secret", "token", "key_file", "files"}, func(part string) bool { return strings.Contains(key, part) })
	if secret && readable(name) {
		warn(path, "everybody may read %s: chmod o-r", name)
	}
}

// readable tells whether everybody may read a file.
func readable(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode()&fs.FileMode(0o004) != 0
}
