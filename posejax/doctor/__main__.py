"""Run the checks and print, as JSON, the names of those that fail: the doctor's second opinion."""

import json
import sys

from posejax.doctor import checks

if __name__ == '__main__':
  results = {'quick': checks.quick, 'every': checks.every}[sys.argv[1]]()
  print(json.dumps([check.name for group in results for check in group if not check.ok]))
