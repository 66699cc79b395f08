// Package manager runs controller-runtime's manager so that its life has an
// end as orderly as its beginning.
//
// There is one root context per process, made by the signal handler in main.
// [New] derives from its values what controllers, webhooks and other runnables
// get as base; [Runtime.Run] runs until the root ends. [Settings] holds the
// one setting, the time a reconcile may take, from which the shutdown period
// and the pod's grace period follow.
//
// At the end of the root context, in this order:
//
//  1. readiness turns false, and callers of webhooks are asked to turn elsewhere;
//  2. running reconciles are cancelled with cause.Shutdown and write their
//     status in the reserve of their budget;
//  3. after the drain delay, in which webhooks and other servers still answer,
//     the manager's runnables are stopped, webhooks when what they have begun is
//     answered;
//  4. when the shutdown period is over, whatever is left is cut off with
//     cause.ShutdownEnded and Run returns.
//
// With leader election (see package leader) the process competes for its lease
// from when the caches are filled until everything has been stopped, and lives on
// when it loses it. Caches, webhooks, metrics, probes and controllers run whether
// it leads or not. What tells the modes apart:
//
//   - clients made from the manager's config, its own included, write only while
//     the process leads;
//   - the Gate in each controller's chain has it observe otherwise, and the source
//     made by [Runtime.Gains] enqueues everything when it leads again;
//   - a runnable that needs leader election runs once in each term, with a context
//     that ends with it ([Runtime.Add]);
//   - /readyz?verbose has a line "leading" or "observing", ready in either, and the
//     metric leader_leading is 1 or 0.
package manager
