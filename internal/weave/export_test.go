package weave

// Exact has each segment charged where it begins.
func Exact(o Options) Options {
	o.exact = true
	return o
}
