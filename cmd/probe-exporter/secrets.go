package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onefiveten/onefiveten/config"
)

// masked stands where a secret would be shown.
const masked = "<secret>"

// shown is a section of the settings as it may be seen. The types mask what they
// know to be secret; here the rest is masked: passwords in addresses, what is sent
// for a token of OAuth, and what may be a token in the address of a list.
func shown(section any) (*yaml.Node, error) {
	var doc yaml.Node
	text, err := yaml.Marshal(section)
	if err == nil {
		err = yaml.Unmarshal([]byte(config.Masked(string(text))), &doc)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the settings: %w", err)
	}
	conceal(&doc, "")
	return &doc, nil
}

// conceal masks below a node, which stands under key.
func conceal(n *yaml.Node, key string) {
	switch {
	case n.Kind == yaml.ScalarNode && key == "endpoint_params":
		n.Value, n.Tag, n.Style = masked, "!!str", 0
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i].Value, n.Content[i+1]
			if key == "http_sd" && name == "url" {
				value.Value = withoutQuery(value.Value)
			} else if key == "endpoint_params" {
				name = key
			}
			conceal(value, name)
		}
	default:
		for _, item := range n.Content {
			conceal(item, key)
		}
	}
}

// withoutQuery masks what follows the path of an address.
func withoutQuery(address string) string {
	if path, _, found := strings.Cut(address, "?"); found {
		return path + "?" + masked
	}
	return address
}
