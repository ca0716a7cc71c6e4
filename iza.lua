-- This checkout is a project of its own: with `develop`, the files under lua/ are used as they are
-- on disk instead of those built into the program.
return {develop = true}
