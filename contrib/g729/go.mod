module github.com/greffier/greffier/contrib/g729

go 1.26.0
