"""Whether a release of a client made calls worse: views over versions, and a sentence about a comparison.

Read `sql/release_people.sql`, which counts judged stays per person, `client_releases.sql` per version, then
`release_pairs.sql`, the statistics of any two versions. The view `release_comparison` selects the usual pairs from it,
and the table macro `compare_releases` any other. `compared` reads the releases in use, `sentences` says a row in words.

`docs/answers/releases.md` has the method and its sources.
"""
