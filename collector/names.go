package collector

// Names of series that the generated rules read. A scrape job with honor_labels
// finds them on /metrics/probes.
const (
	LastRun       = "probe_last_run_timestamp_seconds"
	StaleAfter    = "probe_stale_after_seconds"
	KsigmaFault   = "ksigma_fault"
	KsigmaStart   = "ksigma_fault_start_timestamp_seconds"
	ServiceInfo   = "onefiveten_service_info"
	SignalInfo    = "onefiveten_signal_info"
	TargetSeconds = "onefiveten_target_seconds"
	DetectBound   = "onefiveten_detect_bound_seconds"
	ObserverInfo  = "onefiveten_observer_info"

	// Of backend promql alone.
	FaultCap        = "onefiveten_fault_cap_ratio"
	FaultLeast      = "onefiveten_fault_min_anomalies"
	BaselineLeast   = "onefiveten_baseline_min_samples"
	BaselineFloor   = "onefiveten_baseline_floor_seconds"
	BaselineK       = "onefiveten_baseline_k"
	KsigmaValue     = "ksigma_value"
	KsigmaMean      = "ksigma_mean"
	KsigmaThreshold = "ksigma_threshold"
	KsigmaInfo      = "ksigma_signal_info"
	SignalTraffic   = "signal_traffic"

	SignalLastRun    = "signal_last_run_timestamp_seconds"
	SignalStaleAfter = "signal_stale_after_seconds"
)

// The signals that every probe gives, and their places.
const (
	availability = "availability"
	latency      = "latency"

	ofAvailability = 0
	ofLatency      = 1
	signals        = 2 // their number
)

// signalNames gives the name at each place.
var signalNames = [signals]string{availability, latency}
