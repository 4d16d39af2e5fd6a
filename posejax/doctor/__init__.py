"""`posejax doctor`: whether this machine's JAX, device and flags compute what they should.

A compiler that computes wrongly raises nothing: the net learns worse, that is all. Some things it
cannot get wrong unnoticed: a bias before batch norm has no gradient, and small nets have gradients
that NumPy can compute as well. `checks` has the checks, `reference` the NumPy.
"""

from collections.abc import Callable, Iterable
import json
import os
import subprocess
import sys

from posejax.doctor import checks, environment
from posejax.errors import PosejaxError

Check = checks.Check

_CHILD_SECONDS = 600


def _without(flags: list[str]) -> dict[str, str]:
  """Return the environment with `flags` taken out of XLA_FLAGS, for a process beside this one."""
  rest = [flag for flag in environment.flags() if flag not in flags]
  # This process may have taken most of an accelerator's memory for itself.
  result = dict(os.environ, XLA_PYTHON_CLIENT_PREALLOCATE='false')
  result.pop('XLA_FLAGS', None)
  if rest:
    result['XLA_FLAGS'] = ' '.join(rest)
  return result


def _run_beside(which: str, flags: list[str]) -> set[str] | None:
  """Return the names of the checks that fail in a process without `flags`; None if none ran."""
  try:
    result = subprocess.run(
      [sys.executable, '-m', 'posejax.doctor', which],
      env=_without(flags),
      capture_output=True,
      text=True,
      timeout=_CHILD_SECONDS,
      check=True,
    )
    return set(json.loads(result.stdout.splitlines()[-1]))
  except (subprocess.SubprocessError, ValueError, IndexError):
    # A TPU, for one, belongs to a single process.
    return None


def judge(
  failures: list[Check], flags: list[str], compare: Callable[[], set[str] | None]
) -> tuple[list[Check], str]:
  """Return which failures are faults, and what to do about them.

  Args:
    failures: the checks that failed here.
    flags: the XLA flags in effect that can change results.
    compare: gives the names of the checks that fail without those flags, or None where that could
      not be found out.
  """
  canaries = [check for check in failures if check.canary]
  faults = [check for check in failures if not check.canary]
  advice = []
  if flags and failures:
    named = ' '.join(flags)
    remedy = f'Take {"it" if len(flags) == 1 else "them"} out of XLA_FLAGS (or: unset XLA_FLAGS).'
    elsewhere = compare()
    if elsewhere is None:
      faults = failures
      advice.append(f'The likely cause is {named} (the checks could not be run without). {remedy}')
    else:
      caused = [check for check in failures if check.name not in elsewhere]
      faults = [check for check in failures if check in caused or not check.canary]
      canaries = [check for check in canaries if check not in caused]
      if caused:
        whose = 'these checks pass' if len(caused) == len(faults) else f'{len(caused)} of them pass'
        advice.append(f'Without {named} {whose}: that is the cause. {remedy}')
      if len(caused) < len(faults):
        advice.append(f'{len(faults) - len(caused)} of them fail without {named} as well.')
  if faults and not flags:
    advice.append(
      'No XLA flag is set that could be the cause: this jaxlib computes wrongly on this device. '
      'Install the versions that the project was tested with: pip install -e . -c constraints.txt'
    )
  advice += [f'{check.name}: try {check.remedy}' for check in faults if check.remedy]
  if canaries:
    advice.append(
      f'Noted: by default, too, this jaxlib loses gradients of a maximum over axes '
      f'({len(canaries)} checks). posejax computes no maximum that way; your own layers should not.'
    )
  return faults, '\n'.join(advice)


def _failures(results: Iterable[list[Check]]) -> list[Check]:
  return [check for group in results for check in group if not check.ok]


def refuse_faults() -> None:
  """Raise where the flags in XLA_FLAGS make this machine compute wrongly.

  Returns at once where no flag is set that could. For the start of a long computation.

  Raises:
    PosejaxError: naming the flags and the remedy.
  """
  flags = environment.suspicious_flags()
  if not flags:
    return
  faults, advice = judge(_failures(checks.quick()), flags, lambda: _run_beside('quick', flags))
  if faults:
    shown = '\n'.join(f'  {_line(check)}' for check in faults)
    raise PosejaxError(
      f'With {" ".join(flags)} this machine computes wrong results:\n{shown}\n{advice}\n'
      '`posejax doctor` checks more.'
    )


def _line(check: Check) -> str:
  verdict = 'ok' if check.ok else 'FAILED'
  return f'{verdict:<6} {check.name}: {check.error:.1e} (at most {check.tolerance:.0e})'


def run() -> int:
  """Print versions, devices, every check and what to do; return 0 where all is well, else 1."""
  print(environment.describe(), flush=True)
  print('Checks, as errors relative to what was computed:')
  failures = []
  for group in checks.every():
    for check in group:
      print(f'  {_line(check)}', flush=True)
      failures += [] if check.ok else [check]
  flags = environment.suspicious_flags()
  if failures and flags:
    print('Running the checks without XLA_FLAGS ...', flush=True)
  faults, advice = judge(failures, flags, lambda: _run_beside('every', flags))
  print(f'{len(faults)} checks failed.' if faults else 'All is well.')
  if advice:
    print(advice)
  return 1 if faults else 0
