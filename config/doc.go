// Package config reads a YAML file into a settings struct, strictly, and names
// every mistake at once.
//
// It is given a file (or its text) and a pointer to a struct with yaml tags,
// and gives either filled settings or [Mistakes]: unknown keys with the nearest
// known one, wrong types and durations, keys that stand twice, a second
// document, and whatever the settings say about themselves, each with file,
// line and path. It knows no settings of its own; every room declares its part
// and the commands compose them.
//
// Four methods of the settings take part, each optional:
//
//	UnmarshalYAML                         defaults and values of a form of their own; any depth
//	SetDirectory(dir string)              the folder of the file, for relative names; outermost struct only
//	SetPlaces(places *Places)             where everything stands, to tell of it later; outermost struct only
//	Check(report func(path, text string)) everything that a type cannot say; outermost struct only
//
// [ParseAll] takes several files for one configuration; each mistake is told with
// the file that it is in.
//
// A path is written as a reader would look for it: probes[2].targets[0].url,
// modules.http_2xx.http.method. Keys of maps stand in it as they are.
package config
