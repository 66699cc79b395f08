package v1beta1

// completeToHub finishes the conversion of in to the hub version. Fields
// of the same name and type are set already; set here what is called or shaped
// differently there. What neither knows how to convert is kept in an annotation.
//
// Only one of the versions has, or they do not share the type of:
//   - spec.claimName
//   - spec.claimNames
//   - spec.target
//   - spec.hooks[].timeout
//   - spec.hooks[].when
//   - status.copies
//   - status.size
func (in *Backup) completeToHub(out *hubBackup) error {
	return nil
}

// completeFromHub finishes the conversion of in from the hub version.
func (in *Backup) completeFromHub(from *hubBackup) error {
	return nil
}
