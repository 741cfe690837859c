package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// provisionerName is what the embedded cluster's StorageClass names as its provisioner.
const provisionerName = "longhouse.dev/local-storage"

// newLocalStorageCommand is the embedded node's storage: a directory of the node for each claim, kept
// until the claim goes. A requested size is not enforced: a directory has no limit of its own.
func newLocalStorageCommand() *cobra.Command {
	var kubeconfig, root string
	command := &cobra.Command{
		Use:           "local-storage",
		Short:         "Provision PersistentVolumes as directories of this node",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			controller.NewProvisionController(ctx, client, provisionerName, directories{root: root},
				controller.LeaderElection(false)).Run(ctx)
			return nil
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	command.Flags().StringVar(&root, "root", "", "directory that holds one directory for each volume")
	for _, required := range []string{"kubeconfig", "root"} {
		if err := command.MarkFlagRequired(required); err != nil {
			panic(err)
		}
	}
	return command
}

type directories struct{ root string }

func (d directories) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if options.SelectedNodeName == "" {
		return nil, controller.ProvisioningFinished,
			errors.New("no node selected: the StorageClass must use volumeBindingMode WaitForFirstConsumer")
	}
	path := filepath.Join(d.root, options.PVName)
	// World-writable like any fresh emptyDir; the kubelet narrows it to the pod's fsGroup.
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := os.Chmod(path, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity: corev1.ResourceList{
				corev1.ResourceStorage: options.PVC.Spec.Resources.Requests[corev1.ResourceStorage],
			},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{
						Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{options.SelectedNodeName},
					}},
				}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

func (d directories) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	path := filepath.Clean(volume.Spec.Local.Path)
	if !strings.HasPrefix(path, filepath.Clean(d.root)+string(filepath.Separator)) {
		return &controller.IgnoredError{Reason: fmt.Sprintf("%s is outside %s", path, d.root)}
	}
	return os.RemoveAll(path)
}
