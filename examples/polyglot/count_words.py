"""Counts words. Args: {"text": "..."}; output: {"words": N}."""

import json
import sys

try:
    text = json.load(sys.stdin)["text"]
    words = len(text.split())
except (ValueError, KeyError, TypeError, AttributeError) as error:
    print(f"the args should be {{\"text\": \"...\"}}: {error!r}", file=sys.stderr)
    sys.exit(65)  # another try would not help: the job is dead

json.dump({"words": words}, sys.stdout)
