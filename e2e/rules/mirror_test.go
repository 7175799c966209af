package rules_test

import (
	"cmp"
	"maps"
	"slices"
)

// place is a member of a dimension.
type place struct{ dimension, member string }

// carrier is one node of a fleet, as a signal with traffic sees it. One that is not
// judged has no past.
type carrier struct {
	node                 string
	groups               map[string]string
	value, mean, traffic float64
	judged               bool
}

// excessOf is what each node fails more than usual.
func excessOf(fleet []carrier) []float64 {
	usual, sum := 0., 0.
	for _, c := range fleet {
		if c.judged {
			usual, sum = usual+c.mean*c.traffic, sum+c.traffic
		}
	}
	all := make([]float64, len(fleet))
	for i, c := range fleet {
		mean := c.mean
		if !c.judged {
			mean = usual / sum
		}
		all[i] = max((c.value-mean)*c.traffic, 0)
	}
	return all
}

// shares gives each place its share of the excess, and its lift (DETECTION 5.4).
// Groups of one node are left out.
func shares(fleet []carrier) (share, lift map[place]float64) {
	excess := excessOf(fleet)
	total, traffic := 0., 0.
	for i, c := range fleet {
		total, traffic = total+excess[i], traffic+c.traffic
	}
	share, lift = map[place]float64{}, map[place]float64{}
	nodes := map[place]int{}
	add := func(p place, i int) {
		nodes[p]++
		share[p] += excess[i] / total
		lift[p] += excess[i]/total - fleet[i].traffic/traffic
	}
	for i, c := range fleet {
		add(place{"node", c.node}, i)
		for dimension, member := range c.groups {
			add(place{dimension, member}, i)
		}
	}
	for p, n := range nodes {
		if n < 2 && p.dimension != "node" {
			delete(share, p)
			delete(lift, p)
		}
	}
	return share, lift
}

// byExcess names the places that carry the excess, as DETECTION 5.4 says: a group,
// or a few nodes, or nothing.
func byExcess(fleet []carrier) []place {
	share, lift := shares(fleet)
	nodes, together, carried := leadingNodes(len(fleet), share, lift)
	var groups []place
	best := -1.
	for p, l := range lift {
		if p.dimension != "node" {
			best = max(best, l)
		}
	}
	for p, l := range lift {
		if p.dimension != "node" && l >= best-1e-9 && l >= .2 && share[p] >= .7 {
			groups = append(groups, p)
		}
	}
	if carried >= .7 && together >= .2 && (len(groups) == 0 || best < together-.02) {
		return nodes
	}
	slices.SortFunc(groups, func(a, b place) int { return cmp.Compare(a.dimension, b.dimension) })
	return groups
}

// leadingNodes are those of half the greatest lift, with their lift and share
// together; none where they are many.
func leadingNodes(n int, share, lift map[place]float64) (nodes []place, together, carried float64) {
	best := -1.
	for p, l := range lift {
		if p.dimension == "node" {
			best = max(best, l)
		}
	}
	for _, p := range slices.SortedFunc(maps.Keys(lift), func(a, b place) int { return cmp.Compare(a.member, b.member) }) {
		if p.dimension == "node" && lift[p] >= best/2 {
			nodes, together, carried = append(nodes, p), together+lift[p], carried+share[p]
		}
	}
	if float64(len(nodes)) > max(1, .3*float64(n)) {
		return nil, 0, 0
	}
	return nodes, together, carried
}
