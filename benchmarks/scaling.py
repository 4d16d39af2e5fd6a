"""The tables of benchmarks/scaling.md: steps compiled for TPU slices that are not there, one by one.

    pip install 'posejax[tpu]'
    nice -n 15 python benchmarks/scaling.py --out=scaling                   # 36 rows, minutes each
    nice -n 15 python benchmarks/scaling.py --out=scaling --rows='hrnet.*default'

Each row is a `posejax plan` of 32 examples a chip in bfloat16, compiled with a third of the effort (the
same operations and collectives). Its answer is kept under `--out`: stopped and started again, it goes on
with the rows that are missing. All rows that are there are printed as tables.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

NETS = {'resnet50': 'configs/pose_resnet.py:depth=50', 'hrnet_w32': 'configs/pose_hrnet.py'}
PLACES = {
  # Chips: as one slice, and the slice of which there are four.
  4: ('v5e:2x2', None),  # a slice has the four chips of a host at least
  64: ('v5e:8x8', 'v5e:4x4'),
  256: ('v5e:16x16', 'v5e:8x8'),
  1024: ('v5p:8x8x16', 'v5p:8x8x4'),
}
NORMS = {
  # What batch norm sees: as today unless set; as one device would have it.
  'default': '--config.model.bn_group_size=device',
  'global': '--config.model.bn_group_size=global',
}
BFLOAT16 = '--config.reduce_dtype=bfloat16'


class Row(NamedTuple):
  """What is compiled."""

  net: str
  chips: int
  slices: int
  exchange: str

  @property
  def name(self) -> str:
    """For people, and of its file."""
    return ' '.join(map(str, self))

  @property
  def command(self) -> list[str]:
    """That of `posejax`."""
    topology = PLACES[self.chips][self.slices > 1]
    options = [f'--config={NETS[self.net]}', '--config.dtype=bfloat16', f'--topology={topology}']
    if self.exchange == 'bfloat16':
      options.append(BFLOAT16)
    elif self.chips == 4 or self.exchange != 'default':
      options.append(NORMS[self.exchange])  # four chips have the whole batch's unless told
    return [*options, f'--slices={self.slices}']


ROWS = [
  Row(net, chips, slices, exchange)
  for exchange in ('default', 'global', 'bfloat16')
  for slices in (1, 4)
  for net in NETS
  for chips in PLACES
  if exchange != 'bfloat16' or chips >= 256
  if PLACES[chips][slices > 1]
]


def main():
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('--out', default='scaling')
  parser.add_argument('--rows', default='', help='a regular expression of their names')
  args = parser.parse_args()
  out = pathlib.Path(args.out)
  out.mkdir(parents=True, exist_ok=True)
  for row in ROWS:
    if re.search(args.rows, row.name) and not (out / row.name).exists():
      compile_row(row, out)
  done = [(row, (out / row.name).read_text()) for row in ROWS if (out / row.name).exists()]
  print(table(done, COMPILED), table(done, MODELLED), sep='\n\n')


def compile_row(row: Row, out: pathlib.Path) -> None:
  """Compile a row and keep what is said of it; where that fails, say so and go on."""
  command = [sys.executable, '-m', 'posejax.cli', 'plan', *row.command]
  environment = {**os.environ, 'JAX_EXEC_TIME_OPTIMIZATION_EFFORT': '-1.0'}
  result = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
  if result.returncode:
    print(f'{row.name}: {result.stderr.strip().splitlines()[-1]}', flush=True)
    return
  part = out / f'.{row.name}'
  part.write_text(result.stdout)
  part.rename(out / row.name)
  print(row.name, flush=True)


def total(said: str, kind: str, place: str) -> str:
  """Return how many collectives of a kind there are between devices or slices, and their MB."""
  found = re.findall(rf'{kind} +(\d+) between [\d,]+ {place}, ([\d,.]+) MB', said)
  number = sum(int(count) for count, _ in found)
  return f'{number}, {sum(float(size.replace(",", "")) for _, size in found):.1f}' if found else '-'


def value(said: str, pattern: str) -> str:
  """Return what stands after a word."""
  return re.search(pattern, said).group(1)


COMPILED = {
  'GFLOP': lambda said: value(said, r'operations +([\d,.]+) G'),
  'memory, MB': lambda said: value(said, r'memory +([\d,]+) MB'),
  'traffic, GB': lambda said: value(said, r'traffic +([\d,.]+) GB'),
  'all-reduces, MB': lambda said: total(said, 'all-reduce', 'devices'),
  'all-gathers, MB': lambda said: total(said, 'all-gather', 'devices'),
  'between slices, MB a chip': lambda said: total(said, 'all-reduce', 'slices'),
}
MODELLED = {
  'arithmetic, ms': lambda said: value(said, r'arithmetic +([\d.]+) ms'),
  'traffic, ms': lambda said: value(said, r'traffic +([\d.]+) ms'),
  'exchange, ms': lambda said: value(said, r'exchange +([\d.]+) ms'),
  'efficiency': lambda said: value(said, r'efficiency ([\d.]+)'),
  'images/s a host': lambda said: value(said, r'input +([\d,]+) images/s'),
}


def table(rows: list[tuple[Row, str]], columns: dict) -> str:
  """Return what was said of the rows, a column for each of `columns`."""
  names = ['net', 'chips', 'slices', 'exchange', *columns]
  lines = [f'| {" | ".join(names)} |', '|---' * len(names) + '|']
  for row, said in rows:
    cells = [row.net, f'{row.chips:,}', str(row.slices), row.exchange]
    cells += [read(said) for read in columns.values()]
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines)


if __name__ == '__main__':
  main()
