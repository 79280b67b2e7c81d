{
  'variables': {
    # With `node-gyp rebuild -- -Dsanitize=1` the addon is built for AddressSanitizer (test/native).
    'sanitize%': '0',
    'addon_api': '<!(node -p "require(\'path\').dirname(require.resolve(\'node-addon-api\'))")',
  },
  'target_defaults': {
    'defines': [
      'NAPI_VERSION=8',
      'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
      'NODE_ADDON_API_DISABLE_DEPRECATED',
      # A worker that is being terminated cannot throw; what it would have been told is of no use then.
      'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    ],
    # -isystem: warnings of node-addon-api's own headers are not ours to mend.
    'cflags_cc!': ['-std=gnu++17', '-fno-rtti'],
    'cflags_cc': ['-std=c++17', '-Wall', '-Wextra', '-Werror', '-isystem', '<(addon_api)', '-fvisibility=hidden'],
    # A request thread that had to be abandoned may outlive the worker that loaded the addon: the
    # code must then stay mapped.
    'ldflags': ['-Wl,-z,nodelete'],
    'conditions': [
      ['sanitize==1', {
        'cflags_cc': ['-fsanitize=address', '-fno-omit-frame-pointer', '-g', '-O1'],
        'ldflags': ['-fsanitize=address'],
      }],
    ],
  },
  'targets': [
    {
      'target_name': 'xenstore',
      'sources': [
        'addon.cc',
        'connection.cc',
        'endpoint.cc',
        'lifeline.cc',
        'request.cc',
        'session.cc',
      ],
      'libraries': ['-lxenstore'],
    },
    {
      'target_name': 'blkback',
      'sources': [
        'blkback.cc',
        'blocking.cc',
        'blocking_threads.cc',
      ],
    },
  ],
}
