module longhouse.dev/prometheus-operator

go 1.26.0

tool github.com/prometheus-operator/prometheus-operator/cmd/operator

require github.com/prometheus-operator/prometheus-operator v0.85.0 // indirect
