package main

import (
	"fmt"
	"path/filepath"

	"github.com/onefiveten/onefiveten/config"
	"github.com/onefiveten/onefiveten/healer"
	"github.com/onefiveten/onefiveten/healer/action"
	"github.com/onefiveten/onefiveten/healer/console"
	"github.com/onefiveten/onefiveten/healer/plan"
	"github.com/onefiveten/onefiveten/promapi"
)

// settings is the whole of heal-receiver.yml. Each room has declared its part.
type settings struct {
	plan.Settings `yaml:",inline"`
	Auth          console.Auth `yaml:"auth"`
}

// SetDirectory gives every room the folder of the file.
func (s *settings) SetDirectory(dir string) {
	s.Settings.SetDirectory(dir)
	s.Auth.SetDirectory(dir)
}

// Check lets every room check its part, and what steps may start and call.
func (s *settings) Check(report func(path, text string)) {
	s.Settings.Check(report)
	var sources []string
	for _, am := range s.Alertmanagers {
		sources = append(sources, am.Name)
	}
	s.Auth.Check(sources, func(path, text string) { report("auth."+path, text) })
	action.Settings{Programs: s.Exec.Programs, Hosts: s.HTTP.AllowedHosts}.Check(report)
}

// loaded is a configuration that has passed every check, with the clients that
// it asks for. Nothing has been asked yet.
type loaded struct {
	book    *plan.Book
	auth    *console.Auth
	outside healer.Outside
}

// load does all fallible work: reading, checking, compiling, making clients.
func load(file string, acceptRisk bool) (*loaded, error) {
	var s settings
	if err := config.Load(file, &s); err != nil {
		return nil, err
	}
	book, err := plan.Compile(s.Settings)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := healer.CheckRisk(book, acceptRisk); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	outside, err := reach(book)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &loaded{book: book, auth: &s.Auth, outside: outside}, nil
}

// reach makes a client for everything that the book names.
func reach(b *plan.Book) (healer.Outside, error) {
	out := healer.Outside{Prometheus: map[string]healer.Prometheus{}, Alertmanagers: map[string]healer.Alertmanagers{},
		Clusters: map[string]string{}, Sinks: map[string]healer.Sink{}}
	for _, p := range b.Prometheus {
		c, err := prometheusClient(p)
		if err != nil {
			return out, err
		}
		out.Prometheus[p.Name] = queries{c}
	}
	for _, am := range b.Alertmanagers {
		peers, err := healer.NewAlertmanagers(am.URLs, am.HTTPConfig)
		if err != nil {
			return out, fmt.Errorf("alertmanagers %s: %w", am.Name, err)
		}
		out.Alertmanagers[am.Name] = peers
		if am.Cluster != "" {
			out.Clusters[am.Name] = am.Cluster
		}
	}
	for name, contact := range b.Contacts {
		sink, err := healer.NewWebhook(contact)
		if err != nil {
			return out, fmt.Errorf("notify.%s: %w", name, err)
		}
		out.Sinks[name] = sink
	}
	executor, err := action.New(action.Settings{Programs: b.Programs, Hosts: b.Hosts, Clients: b.Clients})
	if err != nil {
		return out, err
	}
	out.Executor = executor
	return out, nil
}

// journalFile is where the journal stands.
func journalFile(b *plan.Book, stateDir string) string {
	if b.SQLite != "" {
		return b.SQLite
	}
	return filepath.Join(stateDir, "journal.db")
}

func prometheusClient(p plan.Server) (*promapi.Client, error) {
	return promapi.New(promapi.Settings{Name: p.Name, URL: p.URLs[0], HTTPConfig: &p.HTTPConfig, Timeout: durationOf(p.Timeout)})
}
