// Command pulumi-resource-kubernetes is Pulumi's Kubernetes provider, built from its Go module.
//
// Upstream's main package embeds two files that its release generates and its module does not
// ship. This one reads their sources, which the module does ship, from beside the program.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

// Version is the released version the pinned commit stands for; set by the linker.
var Version string

func main() {
	schema, err := packageSchema()
	if err != nil {
		fail(err)
	}
	mapping, err := besideProgram("terraform-mapping.json")
	if err != nil {
		fail(err)
	}
	provider.Serve("kubernetes", Version, schema, mapping)
}

func packageSchema() ([]byte, error) {
	text, err := besideProgram("schema.json")
	if err != nil {
		return nil, err
	}
	var schema map[string]json.RawMessage
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, fmt.Errorf("schema.json: %w", err)
	}
	if schema["version"], err = json.Marshal(Version); err != nil {
		return nil, err
	}
	return json.Marshal(schema)
}

func besideProgram(name string) ([]byte, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(filepath.Dir(program), name))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "pulumi-resource-kubernetes:", err)
	os.Exit(1)
}
