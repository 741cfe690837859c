module longhouse.dev/karpenter

go 1.26.0

tool sigs.k8s.io/karpenter/kwok

require sigs.k8s.io/karpenter v1.13.0 // indirect
