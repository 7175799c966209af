package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/collector"
	"github.com/onefiveten/onefiveten/config"
)

// The file of blackbox_exporter is taken where there is none of our own, so that
// only the binary needs to be exchanged.
const (
	ownFile   = "probe-exporter.yml"
	theirFile = "blackbox.yml"
)

// files say where the configuration is read from.
type files struct {
	file  string // --config.file; empty: the folder alone
	given bool   // the file was named on the command line
	dir   string // --config.dir; empty: none

	backend string // --backend, in the place of the one that is written; empty: that one
}

// choose settles which file is read where the command line names none: the
// folder alone, or that of blackbox_exporter. It is asked once, so that a reload
// does not turn to another file.
func (f files) choose() files {
	if f.given || exists(f.file) {
		return f
	}
	if f.dir != "" {
		f.file = ""
	} else if exists(theirFile) {
		f.file = theirFile
	}
	return f
}

// exists tells whether something of that name is there, readable or not.
func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// String names them in messages.
func (f files) String() string {
	switch {
	case f.dir == "":
		return f.file
	case f.file == "":
		return f.dir
	}
	return f.file + " and " + f.dir
}

// sources are the texts of a configuration, and what is named there and missing.
type sources struct {
	all     []config.Source
	windows *config.Source // nil: those that are built in
	missing []missing
	backend string // in the place of the one that is written
}

// missing is a pattern of module_files, or a windows_file, that gives no file.
type missing struct {
	path, text string
	wrong      bool // and cannot be meant so
}

// read gives the file, those of the folder in the order of their names, and at
// last those of module_files.
func (f files) read() (*sources, error) {
	s := &sources{backend: f.backend}
	names, err := f.whole()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := s.add(name, nil); err != nil {
			return nil, err
		}
	}
	for _, whole := range slices.Clone(s.all) {
		if err := errors.Join(s.addModules(whole), s.addWindows(whole)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// whole lists the files that may hold every key.
func (f files) whole() ([]string, error) {
	var names []string
	if f.file != "" {
		names = append(names, f.file)
	}
	if f.dir == "" && f.file == "" {
		return nil, errors.New("--config.file: want the name of a file, got none")
	}
	if f.dir == "" {
		return names, nil
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return nil, fmt.Errorf("--config.dir: %w", err)
	}
	for _, e := range entries { // sorted by name
		name := filepath.Join(f.dir, e.Name())
		if !isYAML(e.Name()) || slices.ContainsFunc(names, func(other string) bool { return same(name, other) }) {
			continue
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("--config.dir: no file *.yml or *.yaml in %s", f.dir)
	}
	return names, nil
}

// isYAML leaves out hidden files, which editors and Kubernetes put beside the
// others.
func isYAML(name string) bool {
	ext := filepath.Ext(name)
	return (ext == ".yml" || ext == ".yaml") && !strings.HasPrefix(name, ".")
}

// same tells whether two names are one file.
func same(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	two, err := os.Stat(b)
	return err == nil && os.SameFile(one, two)
}

// add reads one file.
func (s *sources) add(name string, only []string) error {
	text, err := config.Read(name)
	if err != nil {
		return err
	}
	s.all = append(s.all, config.Source{File: name, Text: text, Only: only})
	return nil
}

// addModules reads the files that module_files of a file names. What is wrong
// with the file itself is told when all are read strictly.
func (s *sources) addModules(of config.Source) error {
	var wanted struct {
		Patterns []string `yaml:"module_files"`
	}
	_ = yaml.Unmarshal(of.Text, &wanted)
	for i, pattern := range wanted.Patterns {
		path := fmt.Sprintf("module_files[%d]", i)
		names, err := filepath.Glob(beside(of.File, pattern))
		switch {
		case err != nil:
			s.missing = append(s.missing, missing{path, fmt.Sprintf("got %q: %v", pattern, err), true})
		case len(names) == 0:
			s.missing = append(s.missing, missing{path, fmt.Sprintf("no file is named %q", pattern), !strings.ContainsAny(pattern, "*?[")})
		}
		for _, name := range names {
			if s.knows(name) {
				continue
			}
			if err := s.add(name, []string{"modules"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// addWindows reads the file that windows_file names. That it stands in two files is
// told when all are read strictly.
func (s *sources) addWindows(of config.Source) error {
	var wanted struct {
		File string `yaml:"windows_file"`
	}
	_ = yaml.Unmarshal(of.Text, &wanted)
	if wanted.File == "" || s.windows != nil {
		return nil
	}
	name := beside(of.File, wanted.File)
	if !exists(name) {
		s.missing = append(s.missing, missing{"windows_file", fmt.Sprintf("no file is named %q", wanted.File), true})
		return nil
	}
	text, err := config.Read(name)
	s.windows = &config.Source{File: name, Text: text}
	return err
}

// windowsInForce gives the windows of the file that is named, or those that are
// built in, by the same way. With mistakes they are what is right of them.
func (s *sources) windowsInForce() (*collector.Windows, error) {
	file, windows := config.Source{File: "windows.yml, built in", Text: []byte(collector.WindowsFile)}, new(collector.Windows)
	if s.windows != nil {
		file = *s.windows
	}
	return windows, config.ParseAll([]config.Source{file}, windows)
}

// beside makes a name relative to the folder of a file.
func beside(file, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(file), name)
}

// knows tells whether a file has been read: two patterns may give the same.
func (s *sources) knows(name string) bool {
	return slices.ContainsFunc(s.all, func(other config.Source) bool { return same(name, other.File) })
}

// hash tells two configurations apart, 16 digits. Observers may keep the same
// files in different folders.
func (s *sources) hash() string {
	h, all := sha256.New(), slices.Clone(s.all)
	if s.windows != nil {
		all = append(all, *s.windows)
	}
	for _, one := range all {
		if len(all) > 1 {
			fmt.Fprintf(h, "%s %d\n", filepath.Base(one.File), len(one.Text))
		}
		h.Write(one.Text)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16]
}

// fingerprint changes when a file does, when one comes or goes, and when one can
// no longer be read.
func (f files) fingerprint() string {
	s, err := f.read()
	if err != nil {
		return err.Error()
	}
	return s.hash()
}
