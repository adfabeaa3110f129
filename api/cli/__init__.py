"""The command line: `verbatim …`. It meets a running server over HTTP, or asks its stores."""
