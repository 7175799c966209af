package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-kit/log/level"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/version"
)

const (
	defaultRefresh = 30 * time.Second
	longestReading = time.Minute // of one file or answer, where refresh is longer
	firstRetry     = time.Second // after a failure; twice that after the next one
	maxRedirects   = 10
	namedRefusals  = 10 // targets left out that the log and check name, per probe
)

// The kinds of sources, by their keys in the configuration.
const (
	fileSD = "file_sd"
	httpSD = "http_sd"
)

// FileSD names files with lists of targets, in the format of Prometheus' file
// discovery.
type FileSD struct {
	Files           []string        `yaml:"files"` // a * may stand in the last part of a name
	Refresh         *model.Duration `yaml:"refresh,omitempty"`
	RefreshInterval *model.Duration `yaml:"refresh_interval,omitempty"` // Prometheus' name of Refresh
}

// HTTPSD names a server with a list of targets, in the format of Prometheus'
// HTTP discovery.
type HTTPSD struct {
	URL             string                   `yaml:"url"`
	Refresh         *model.Duration          `yaml:"refresh,omitempty"`
	RefreshInterval *model.Duration          `yaml:"refresh_interval,omitempty"` // Prometheus' name of Refresh
	HTTPConfig      *config.HTTPClientConfig `yaml:"http_config,omitempty"`
}

// refresh is the time between two readings, by either name.
func refresh(ours, theirs *model.Duration) time.Duration {
	return cmp.Or(time.Duration(written(cmp.Or(ours, theirs))), defaultRefresh)
}

// setDirectory makes the names of files relative to the folder dir.
func (f *FileSD) setDirectory(dir string) {
	if f == nil {
		return
	}
	for i, name := range f.Files {
		f.Files[i] = config.JoinDir(dir, name)
	}
}

// setDirectory makes the names of files relative to the folder dir.
func (h *HTTPSD) setDirectory(dir string) {
	if h != nil {
		h.HTTPConfig.SetDirectory(dir)
	}
}

// checkRefresh wants one of the two names and a time that a server can bear.
func checkRefresh(r reporter, ours, theirs *model.Duration) {
	r.unless(ours == nil || theirs == nil, "refresh_interval", "refresh is given too; want one of the two")
	r.unless(ours == nil || time.Duration(*ours) >= time.Second, "refresh", "got %s, want 1s or more", written(ours))
	r.unless(theirs == nil || time.Duration(*theirs) >= time.Second, "refresh_interval", "got %s, want 1s or more", written(theirs))
}

// check reports under paths inside the block.
func (f *FileSD) check(r reporter) {
	if f == nil {
		return
	}
	checkRefresh(r, f.Refresh, f.RefreshInterval)
	r.unless(len(f.Files) > 0, "files", "no file named")
	for i, name := range f.Files {
		at := fmt.Sprintf("files[%d]", i)
		dir, base := filepath.Split(name)
		_, err := filepath.Match(base, "")
		r.unless(format(base) != nil, at, "got %q, want a name that ends in .json, .yml or .yaml", name)
		r.unless(err == nil && !strings.Contains(dir, "*"), at, "got %q, want a pattern in the last part of the name alone", name)
	}
}

// check reports under paths inside the block. It does not repeat the URL, which
// may hold a password.
func (h *HTTPSD) check(r reporter) {
	if h == nil {
		return
	}
	checkRefresh(r, h.Refresh, h.RefreshInterval)
	u, err := url.Parse(h.URL)
	good := err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
	r.unless(good, "url", "want http://host/path or https://host/path")
	r.unless(!good || u.User == nil, "url", "it holds a user; want it in http_config, as basic_auth")
}

// discovers tells whether targets of the probe are found rather than written.
func (p Probe) discovers() bool { return p.FileSD != nil || p.HTTPSD != nil }

// CheckFiles reads the files of every file_sd as they are now, and reports what
// cannot be read and which targets would be left out. None of it keeps Apply from
// putting the settings in force. They must have passed Check.
func (s Settings) CheckFiles(modules map[string]Module, report func(path, text string)) {
	for i, p := range s.Probes {
		if p.FileSD == nil {
			continue
		}
		r := reporter(report).under("probes[%d].file_sd.files", i)
		found, err := p.FileSD.read(context.Background(), nil)
		r.unless(err == nil, "", "%v", err)
		r.unless(err != nil || len(found) > 0, "", "there is no such file yet")
		_, refused := p.admit(found, modules[p.Module].CheckTarget)
		for _, text := range refused[:min(len(refused), namedRefusals)] {
			r("", "left out: "+text)
		}
		more := len(refused) - namedRefusals
		r.unless(more <= 0, "", "left out: %d more targets", more)
		lost := found.lost()
		r.unless(len(lost) == 0, "", "left out: %d labels, each once a target, since they are reserved: %s", lost.sum(), lost.names())
	}
}

// source is where further targets of a probe come from. A reload makes all of
// them anew; what they have found is handed on.
type source struct {
	probe   string
	kind    string // key of the configuration
	refresh time.Duration
	first   time.Duration // until the first reading
	read    func(ctx context.Context, before lists) (lists, error)
	close   func()

	// Written under Collector.applying, and by the one that reads alone.
	found    lists
	failures int // in a row
	err      string
	success  time.Time // zero: never
}

// sourcesOf makes the sources of all probes that are to run, with what those in
// force have found. Files are read here, so that no target waits for the next
// reading; a server is asked later, since it may not answer.
func (c *Collector) sourcesOf(s Settings) ([]*source, error) {
	var all []*source
	var errs []error
	for _, p := range s.Probes {
		if !s.mine(p, c.observer) {
			continue
		}
		fresh, err := p.newSources()
		if err != nil {
			errs = append(errs, fmt.Errorf("probe %q: %w", p.Name, err))
		}
		all = append(all, fresh...)
	}
	for _, s := range all {
		for _, old := range c.force.sources {
			if old.probe == s.probe && old.kind == s.kind {
				s.found, s.failures, s.err, s.success = old.found, old.failures, old.err, old.success
			}
		}
	}
	return all, errors.Join(errs...)
}

// newSources makes the sources of a probe.
func (p Probe) newSources() ([]*source, error) {
	var all []*source
	if f := p.FileSD; f != nil {
		all = append(all, &source{probe: p.Name, kind: fileSD, refresh: refresh(f.Refresh, f.RefreshInterval), read: f.read, close: func() {}})
	}
	if h := p.HTTPSD; h != nil {
		every := refresh(h.Refresh, h.RefreshInterval)
		read, client, err := h.reader(every)
		if err != nil {
			return nil, fmt.Errorf("http_sd: %w", err)
		}
		all = append(all, &source{probe: p.Name, kind: httpSD, refresh: every, read: read, close: client.CloseIdleConnections})
	}
	return all, nil
}

// discover reads every source in force again and again until ctx ends. All that
// it begins belongs to open.
func (c *Collector) discover(ctx context.Context, open *sync.WaitGroup) {
	for ctx.Err() == nil {
		round, stop := context.WithCancel(ctx)
		c.applying.Lock()
		sources := c.force.sources
		select {
		case <-c.resourced: // it was about these
		default:
		}
		c.applying.Unlock()
		for _, s := range sources {
			open.Go(func() { s.follow(round, c) })
		}
		select {
		case <-ctx.Done():
		case <-c.resourced:
		}
		// Those that are in the middle of a reading are not waited for: what they
		// bring is no longer wanted.
		stop()
	}
}

// follow reads one source until ctx ends.
func (s *source) follow(ctx context.Context, c *Collector) {
	defer s.close()
	timer := time.NewTimer(s.first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		found, err := s.reading(ctx)
		if ctx.Err() != nil {
			return
		}
		timer.Reset(c.take(s, found, err))
	}
}

// reading reads a source once, within its time.
func (s *source) reading(ctx context.Context) (lists, error) {
	ctx, cancel := context.WithTimeout(ctx, min(s.refresh, longestReading))
	defer cancel()
	return s.read(ctx, s.found)
}

// pause is the time to the next reading. After a failure it is short at first:
// a file may have been read while it was being written.
func (s *source) pause() time.Duration {
	if s.failures == 0 {
		return s.refresh
	}
	return min(s.refresh, firstRetry<<min(s.failures-1, 10))
}

// take puts what a source has found in force, unless the source is not in force
// itself any more. It gives the time to the next reading.
func (c *Collector) take(s *source, found lists, err error) time.Duration {
	c.applying.Lock()
	defer c.applying.Unlock()
	if !slices.Contains(c.force.sources, s) {
		return s.refresh
	}
	changed := !maps.Equal(s.found, found)
	c.took(s, found, err)
	if changed {
		if err := c.put(c.force); err != nil { // Apply has tried the same settings
			_ = level.Error(c.logger).Log("msg", "the targets that were found are not in force", "probe", s.probe, "err", err)
		}
	}
	c.own.discovered(c.force.sources)
	return s.pause()
}

// took notes the outcome of a reading: it counts a failure, and logs where one
// begins, changes and ends.
func (c *Collector) took(s *source, found lists, err error) {
	before := s.err
	s.found, s.err = found, ""
	if err != nil {
		s.failures++
		s.err = cut(err.Error())
		c.own.discoveryFailures.WithLabelValues(s.probe).Inc()
	} else {
		s.failures, s.success = 0, time.Now()
	}
	switch {
	case s.err == before:
	case s.err != "":
		_ = level.Warn(c.logger).Log("msg", "targets could not be read, those before stay in force", "probe", s.probe, "source", s.kind, "err", s.err)
	default:
		_ = level.Info(c.logger).Log("msg", "targets can be read again", "probe", s.probe, "source", s.kind)
	}
}

// tellRefused logs which targets are left out, unless that was said before.
func (c *Collector) tellRefused(probe string, before, refused []string) {
	if slices.Equal(before, refused) {
		return
	}
	for _, text := range refused[:min(len(refused), namedRefusals)] {
		_ = level.Warn(c.logger).Log("msg", "a target that was found is left out", "probe", probe, "err", text)
	}
	_ = level.Info(c.logger).Log("msg", "targets that were found are left out", "probe", probe, "targets", len(refused))
}

// tellLost logs which labels are left out, unless those were named before: their
// number changes with every target.
func (c *Collector) tellLost(probe string, before, lost tally) {
	if names := lost.names(); names != before.names() {
		_ = level.Info(c.logger).Log("msg", "reserved labels of targets that were found are left out", "probe", probe, "labels", lost.sum(), "names", names)
	}
}

// read gives the lists of all files that there are. The list of a file that
// cannot be read stays as it was before.
func (f *FileSD) read(_ context.Context, before lists) (lists, error) {
	found := lists{}
	var errs []error
	for _, pattern := range f.Files {
		names, err := files(pattern)
		if err != nil {
			// Which files there are is not known: those of before stay.
			errs = append(errs, fmt.Errorf("looking for %s: %w", pattern, err))
			names = slices.DeleteFunc(slices.Collect(maps.Keys(before)), func(name string) bool { return !matches(pattern, name) })
			for _, name := range names {
				found[name] = before[name]
			}
			continue
		}
		for _, name := range names {
			l, err := readFile(name, before[name])
			if err != nil {
				errs = append(errs, fmt.Errorf("reading %s: %w", name, err))
				l = before[name]
			}
			if l != nil {
				found[name] = l
			}
		}
	}
	return found, errors.Join(errs...)
}

// files lists the files of a pattern. Unlike filepath.Glob it tells when the
// folder cannot be read: no file there would mean no targets.
func files(pattern string) ([]string, error) {
	dir, base := filepath.Split(pattern)
	if !strings.ContainsAny(base, `*?[\`) {
		_, err := os.Stat(pattern)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return []string{pattern}, err
	}
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if name := dir + e.Name(); matches(pattern, name) {
			names = append(names, name)
		}
	}
	return names, err
}

// matches tells whether a file belongs to a pattern, whose folder is no pattern.
func matches(pattern, name string) bool {
	dir, base := filepath.Split(pattern)
	rest, inside := strings.CutPrefix(name, dir)
	ok, err := filepath.Match(base, rest)
	return inside && err == nil && ok
}

// readFile reads the list of one file, and gives nil for one that is gone. What
// has no end, such as a pipe, is not opened.
func readFile(name string, before *list) (*list, error) {
	about, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !about.Mode().IsRegular():
		return nil, errors.New("want a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxList+1))
	if err != nil {
		return nil, err
	}
	return newList(text, before, format(name))
}

// reader makes the client of a server. A file of http_config that cannot be read
// now is an error.
func (h *HTTPSD) reader(every time.Duration) (func(context.Context, lists) (lists, error), *http.Client, error) {
	u, err := url.Parse(h.URL)
	if err != nil {
		return nil, nil, errors.New("url: want http://host/path or https://host/path")
	}
	client, err := config.NewClientFromConfig(*cmp.Or(h.HTTPConfig, &config.DefaultHTTPClientConfig), "http_sd", config.WithUserAgent("probe-exporter/"+version.Version))
	if err != nil {
		return nil, nil, fmt.Errorf("http_config: %w", err)
	}
	if client.CheckRedirect == nil { // else http_config asks for none
		client.CheckRedirect = sameServer
	}
	where := fmt.Sprintf("%s://%s%s", u.Scheme, u.Host, u.Path) // what follows may be a token
	return func(ctx context.Context, before lists) (lists, error) {
		l, err := ask(ctx, client, h.URL, every, before[where])
		if err != nil {
			var outer *url.Error
			if errors.As(err, &outer) {
				err = outer.Err // it repeats the whole URL
			}
			return before, fmt.Errorf("asking %s: %w", where, err)
		}
		return lists{where: l}, nil
	}, client, nil
}

// sameServer follows redirects within the host that was asked: another one would
// be sent the headers of http_config, and its answer is not that of the server
// which was named.
func sameServer(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	same := next.URL.Scheme == first.Scheme && next.URL.Host == first.Host
	safer := next.URL.Scheme == "https" && first.Scheme == "http" && next.URL.Hostname() == first.Hostname()
	switch {
	case !same && !safer:
		return fmt.Errorf("redirected to %s://%s, want it to stay at %s://%s", next.URL.Scheme, next.URL.Host, first.Scheme, first.Host)
	case len(via) >= maxRedirects:
		return fmt.Errorf("redirected more than %d times", maxRedirects)
	}
	return nil
}

// ask asks a server once, with the headers that Prometheus sends.
func ask(ctx context.Context, client *http.Client, from string, every time.Duration, before *list) (*list, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("X-Prometheus-Refresh-Interval-Seconds", strconv.FormatFloat(every.Seconds(), 'f', -1, 64))
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("got status %d, want 200", answer.StatusCode)
	}
	form, params, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if charset := params["charset"]; err != nil || form != "application/json" || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, fmt.Errorf("got content type %q, want application/json", cut(answer.Header.Get("Content-Type")))
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxList+1))
	if err != nil {
		return nil, err
	}
	return newList(text, before, unmarshalJSON)
}
