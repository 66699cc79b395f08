package v1alpha1

// completeToHub finishes the conversion of in to the hub version. Fields
// of the same name and type are set already; set here what is called or shaped
// differently there. What neither knows how to convert is kept in an annotation.
//
// Only one of the versions has, or they do not share the type of:
//   - spec.claim
//   - spec.claimNames
//   - spec.hooks
//   - spec.keepDays
//   - spec.retention
//   - spec.suspend
//   - spec.target
//   - status.copies
//   - status.size
func (in *Backup) completeToHub(out *hubBackup) error {
	return nil
}

// completeFromHub finishes the conversion of in from the hub version.
func (in *Backup) completeFromHub(from *hubBackup) error {
	return nil
}
