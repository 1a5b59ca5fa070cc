package plan

import (
	"crypto/sha256"
	"fmt"

	"github.com/magpie-monitoring/magpie/sdk/language"
)

// Dashboard is a dashboard block with its file.
type Dashboard struct {
	*language.Dashboard
	body *language.Body
}

// Sum tells contents apart.
func (d *Dashboard) Sum() string { return fmt.Sprintf("sha256:%.12x", sha256.Sum256(d.JSON)) }

// dashboards reads the dashboard blocks. Of a query with template variables outside of texts and durations nobody knows what it will be.
func (b *builder) dashboards() {
	for _, block := range b.Blocks("dashboard") {
		x := b.CoreBlock(block)
		read := b.Dashboard(x)
		if read == nil {
			continue
		}
		b.desired.blocks = append(b.desired.blocks, x)
		b.desired.Dashboards = append(b.desired.Dashboards, &Dashboard{read, x})
		for _, q := range read.Queries {
			if text, _ := q.Field.Value.(string); q.Certain {
				b.checkPromQL(q.Field, text, q.Text)
			}
		}
	}
}
