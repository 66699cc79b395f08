package v1alpha1

// completeToHub puts the one claim of this version in the first place of the
// hub's list. What was behind it is there already.
func (in *Backup) completeToHub(out *hubBackup) error {
	switch {
	case in.Spec.Claim == "":
	case len(out.Spec.ClaimNames) == 0:
		out.Spec.ClaimNames = []string{in.Spec.Claim}
	default:
		out.Spec.ClaimNames[0] = in.Spec.Claim
	}
	return nil
}

// completeFromHub shows the first claim of the hub's list.
func (in *Backup) completeFromHub(from *hubBackup) error {
	if len(from.Spec.ClaimNames) > 0 {
		in.Spec.Claim = from.Spec.ClaimNames[0]
	}
	return nil
}
