package strictyaml

import "go.yaml.in/yaml/v4"

// maxSectionDepth is how deep [Sections] looks.
const maxSectionDepth = 16

// Sections returns those sections of a document, at any depth, that have nothing but scalars in them, as texts by their keys. It takes what it does not know: it is for who looks for one form of section in documents that may be of
// a later release. Of what is no YAML it returns none.
func Sections(data []byte) (all []map[string]string) {
	var root yaml.Node
	if len(data) > MaxSize || yaml.Unmarshal(data, &root) != nil {
		return nil
	}
	var look func(n *yaml.Node, depth int)
	look = func(n *yaml.Node, depth int) {
		if depth == 0 || n.Kind == yaml.AliasNode {
			return
		}
		if n.Kind == yaml.MappingNode {
			texts := make(map[string]string, len(n.Content)/2)
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Kind == yaml.ScalarNode && n.Content[i+1].Kind == yaml.ScalarNode {
					texts[n.Content[i].Value] = n.Content[i+1].Value
				}
			}
			if len(texts)*2 == len(n.Content) {
				all = append(all, texts)
				return
			}
		}
		for _, c := range n.Content {
			look(c, depth-1)
		}
	}
	look(&root, maxSectionDepth)
	return all
}
