"""The health check of the image: ends with 0 where the app's server answers."""

import os
import urllib.request

address = f"http://127.0.0.1:{os.environ.get('PORT', '7860')}/_stcore/health"
# Not by a proxy that the environment names.
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=4).close()
