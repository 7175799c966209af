package collector

import "github.com/onefiveten/onefiveten/probe"

// Failure is one failed run of a target.
type Failure struct {
	Probe, Service, Instance string
	Labels                   map[string]string // as configured
	Result                   probe.Result
}

// Failures gives the newest failed runs of every target, the newest first. The
// list is made when it is asked for.
func (c *Collector) Failures() []Failure { return nil }
