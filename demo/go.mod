module github.com/onefiveten/onefiveten/demo

go 1.26.0
