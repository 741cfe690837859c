module longhouse.dev/k8s-device-plugin

go 1.26.0

tool github.com/NVIDIA/k8s-device-plugin/cmd/nvidia-device-plugin

require github.com/NVIDIA/k8s-device-plugin v0.18.2 // indirect
