package leader

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
)

// What the policy for the server-side fence finds in request.userInfo.extra.
const (
	extraHolder = "fence-holder"
	extraTerm   = "fence-term"
)

// serviceAccount is how the user names of service accounts begin.
const serviceAccount = "system:serviceaccount:"

// stamper returns what tells the API server, in the header of each write, in
// which term it is made. Objects cannot carry it: a write of the status must
// not change annotations, and a deletion has none. So the client impersonates
// itself, with the term among the extra fields of its user, which admission
// sees for every request. That needs the right to impersonate oneself.
func stamper(ctx context.Context, cfg *rest.Config) (func(http.Header, *Term), error) {
	client, err := authentication.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	self, err := client.SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask the API server who this is: %w", err)
	}
	user := self.Status.UserInfo.Username
	if !strings.HasPrefix(user, serviceAccount) {
		return nil, fmt.Errorf("user %s is no service account, and would lose its groups; run with a service account", user)
	}
	return func(header http.Header, t *Term) {
		header.Set(transport.ImpersonateUserHeader, user)
		header.Set(transport.ImpersonateUserExtraHeaderPrefix+extraHolder, t.holder)
		header.Set(transport.ImpersonateUserExtraHeaderPrefix+extraTerm, t.String())
	}, nil
}
