module github.com/ctxscaffold/ctxscaffold/tests/mutants

go 1.26.0
