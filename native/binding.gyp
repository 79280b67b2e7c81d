{
  'variables': {
    # With `node-gyp rebuild -- -Dsanitize=1` the addon is built for AddressSanitizer (test/native).
    'sanitize%': '0',
    'addon_api': '<!(node -p "require(\'path\').dirname(require.resolve(\'node-addon-api\'))")',
  },
  'targets': [
    {
      'target_name': 'blkback',
      'sources': [
        'addon.cc',
        'blocking.cc',
        'blocking_call.cc',
        'blocking_environment.cc',
        'blocking_threads.cc',
        'channel.cc',
        'immediate.cc',
        'loop_statuses.cc',
        'memory_files.cc',
      ],
      'defines': [
        'NAPI_VERSION=8',
        'NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
        'NODE_ADDON_API_DISABLE_DEPRECATED',
        # A worker that is being terminated cannot throw; what it would have been told is of no use then.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
      # -isystem: warnings of node-addon-api's own headers are not ours to mend.
      'cflags_cc!': ['-std=gnu++17', '-fno-rtti'],
      'cflags_cc': [
        '-std=c++17', '-Wall', '-Wextra', '-Werror', '-isystem', '<(addon_api)', '-fvisibility=hidden',
        '-fstack-protector-strong', '-fstack-clash-protection',
      ],
      # nodelete: a thread whose call hangs may outlive the worker that loaded the addon, and the code
      # must then stay mapped.
      'ldflags': ['-Wl,-z,relro,-z,now', '-Wl,-z,nodelete'],
      'conditions': [
        ['target_arch=="x64"', { 'cflags_cc': ['-fcf-protection'] }],
        ['sanitize==1', {
          'cflags_cc': ['-fsanitize=address', '-fno-omit-frame-pointer', '-g', '-O1'],
          'ldflags': ['-fsanitize=address'],
        }, {
          # The sanitizer checks the same calls itself.
          'cflags_cc': ['-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'],
        }],
      ],
    },
  ],
}
