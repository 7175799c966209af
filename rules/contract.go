package rules

// Promise is what an alert that is made for heal-receiver always carries.
type Promise struct {
	Alert       string
	Labels      []string // always present
	Sometimes   []string // labels that depend on where the fault lies; a dimension of the service is one too
	Annotations []string
}

// Contract lists the alerts with heal="true" and what the receiver may read from
// each. It is the one place where the two programs meet, since neither imports the
// other: a test holds the generated rules against it, another one the receiver.
func Contract() []Promise {
	who := []string{"service", "owner", "signal", "severity", "heal"}
	return []Promise{
		{Alert: "FaultDetected", Labels: who, Annotations: []string{"summary", "fault_start", "detect_bound_seconds"}},
		{Alert: "FaultLocated", Labels: append(who[:5:5], "scope"), Sometimes: []string{"member", "node"}, Annotations: []string{"summary", "fault_start"}},
		{Alert: "FaultNotLocated", Labels: who, Annotations: []string{"summary", "fault_start"}},
		{Alert: "RecoveryOverdue", Labels: who, Annotations: []string{"summary", "fault_start"}},
		{Alert: "ObserverFault", Labels: []string{"service", "signal", "observer", "severity", "heal"}, Annotations: []string{"summary"}},
		{Alert: "Watchdog", Labels: []string{"severity", "heal"}, Annotations: []string{"summary"}},
	}
}
