"""`posejax serve`: a web page and an API on a trained net."""

import argparse

from posejax.commands import net_options


def register(commands) -> None:
  """Add the command to `commands`, what `ArgumentParser.add_subparsers` returned."""
  text = 'serve a page for pictures and the live camera, and an API'
  command = commands.add_parser('serve', help=text, description=text.capitalize() + '.')
  net_options.add(command)
  command.add_argument(
    '--host', default='127.0.0.1', help='address to listen at; 0.0.0.0 for every one (127.0.0.1)'
  )
  command.add_argument(
    '--port', type=int, default=8000, help='to listen at; 0 for a free one (8000)'
  )
  command.add_argument(
    '--cert',
    metavar='FILE.pem',
    help='TLS certificate; browsers give cameras to HTTPS and localhost',
  )
  command.add_argument('--key', metavar='FILE.pem', help='its key, where --cert does not hold it')
  command.add_argument(
    '--name',
    action='append',
    default=[],
    metavar='HOST',
    help="a host name beside this machine's own that the server may be asked by; may be repeated",
  )
  command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, rest: list[str]) -> int:
  del rest  # the run has its config
  from posejax.process import startup

  with startup.without_collection():
    from posejax.web import server

    predictor = net_options.predictor(arguments)
    predictor.warm_up()
  server.serve(
    predictor,
    arguments.host,
    arguments.port,
    cert=arguments.cert,
    key=arguments.key,
    names=arguments.name,
  )
  return 0
