// Package strictyaml decodes YAML into structs and takes nothing for granted: an unknown key, a key that is given twice, a
// value of the wrong type or out of its bounds, an anchor, a merge key, a tag or a second document is an error that names
// file, line, column, the path of the key, the cause and the mend. All errors of a file are told at once, up to [MaxErrors].
//
// Start with [Decode]. It fills a struct that already holds the defaults, so a key that is absent keeps its default, and a
// list that is present is never nil: nil means absent, and `[]` means none. What only the meaning of the values can tell (a
// file that is not there, two sections that contradict) is found later; [Document.Locate] gives those errors their place.
//
// The keys are the `yaml` tags of the struct's fields. More tags bound the values; they apply to each element of a list:
//
//	min, max   bounds of a number, a duration or a size, in the value's own notation; none of these is below 0 unless min is
//	items      the least number of elements of a list
//	required   "true": the key must be there
//	port       the port of an address that is written without one; "need": it must be written with one
//	later      the key must be empty for now; the tag says what to do instead
//	none       "true": the text "" is taken and means that there is none
//	free       "true": port 0 is taken although there is a port for addresses without one
//	key        "true": the field is the name of an entry, which [EncodeEntry] and [DecodeEntry] leave out
//
// Types: bool, string, [Text], map[string]string, integers, [time.Duration] ("1.8s"), [Bytes] ("256MiB"), [netip.Addr], [netip.Prefix],
// [netip.AddrPort], every encoding.TextUnmarshaler, structs, pointers and lists of these. A TextUnmarshaler with a method
// Values() []string is one of these values. A struct that is a TextUnmarshaler may be written as text or as a section.
//
// [Encode] writes values so that equal ones are equal octets.
//
// The package imports nothing of the project and keeps no state.
package strictyaml
