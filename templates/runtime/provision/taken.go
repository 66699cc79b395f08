package provision

import "fmt"

// ReasonNameTaken is the reason of the event where a [NameTakenError] is the error.
const ReasonNameTaken = "NameTaken"

// NameTakenError is the error of an object that has the name of what is kept, and was made
// by somebody else.
type NameTakenError struct {
	Kind, Namespace, Name string
}

// Error says what is in the way, where, and what to do.
func (e *NameTakenError) Error() string {
	return fmt.Sprintf("%s %s in namespace %s was not made by this operator, which leaves it as it is; "+
		"delete it, and the one that belongs there is made", e.Kind, e.Name, e.Namespace)
}

// Reason implements what requeue.Reason looks for.
func (e *NameTakenError) Reason() string { return ReasonNameTaken }

// OutcomeName implements cause.Namer.
func (e *NameTakenError) OutcomeName() string { return "name_taken" }
