"""The live page of runs: a server that reads Redis alone, and hands on what it finds to whoever watches."""
